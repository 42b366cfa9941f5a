"""Faces for voice agents: services for pipecat and LiveKit, and a camera for other programs.

Each module needs what it is for: `talkers.agents.pipecat` the extra `pipecat`,
`talkers.agents.livekit` the extra `livekit`. `talkers.agents.camera` needs none.
"""
