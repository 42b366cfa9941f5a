"""Speaking: the loaded avatar, its talking videos and live sessions."""
