"""The HTTP surface: one router a room, and the composition root that puts the rooms together."""
