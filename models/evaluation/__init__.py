"""How probabilities, effects and policies are graded."""
