"""Three believable businesses to look at: seeded, replayed through the engine like any other history."""

from journey_service.demo.keys import DemoKey, hand_out_keys
from journey_service.demo.seeding import DEMO_COMPANIES, open_demo

__all__ = ["DEMO_COMPANIES", "DemoKey", "hand_out_keys", "open_demo"]
