"""Where personal data of a customer is kept, and how it is exported and erased."""
