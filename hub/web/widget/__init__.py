"""What the hub tells to its widget inside the CRM: authenticated by the CRM's token, for the account's own pages."""
