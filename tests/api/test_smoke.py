async def test_an_event_moves_an_unknown_customer(http, tenant):
    answer = await http.post("/api/v1/events", headers=tenant.headers, json={"id": "1", "source": "t", "type": "appointment_completed", "customer_id": 1, "occurred_at": "2026-01-01T00:00:00Z"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["journey"]["current_stage"] == "customer"
