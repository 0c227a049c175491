"""Demo: four example companies with generated histories, imported and replayed through the engine."""

from journey_service.demo.keys import DemoKey, create_demo_keys
from journey_service.demo.seeding import DEMO_COMPANIES, seed_demo

__all__ = ["DEMO_COMPANIES", "DemoKey", "create_demo_keys", "seed_demo"]
