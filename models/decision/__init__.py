"""Which offer whom: rules, budget, holdout, strategy and reasons."""
