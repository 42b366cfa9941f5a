"""Speaking: the engine that holds an avatar's components, its talking videos and live sessions."""
