"""What the engine alone can do: hand-written SQL, same driver, same durability.

A floor keeps no history and hashes nothing. It is not a rival but the part of our time that no
design could save: it does the same work as we do (same rows, same Python shapes, same syncs) and
keeps nothing that the question does not need.
"""
