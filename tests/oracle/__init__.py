"""An independent, slow and literal reading of DOMAIN.md, to compare the engine with."""
