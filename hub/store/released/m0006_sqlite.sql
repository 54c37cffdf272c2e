DROP INDEX forwarding_uuid;
