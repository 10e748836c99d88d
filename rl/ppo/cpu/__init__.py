"""PPO's inner loops written for the CPU; everything here has a generic counterpart in `rl.ppo`."""
