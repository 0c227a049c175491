"""How good predictions are: measures, the simplest curve, and a back-test on the company itself."""
