"""Services: a public function is one transaction, or documents how it divides its work."""
