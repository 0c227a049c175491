"""What the service does: one public function, one transaction."""
