"""Speech: waveform -> features at a known rate, and where it is silent."""
