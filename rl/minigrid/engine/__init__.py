"""MiniGrid's rules and level generators for N worlds at once, compiled with numba.

The reference is Farama's MiniGrid: the same seed gives the same level, draw for draw, and the same
actions give the same observations, rewards and ends. `rl.minigrid.engine.families` lists what it
knows; any other environment is played by `rl.minigrid.simulator.GymnasiumSimulator`.
"""
