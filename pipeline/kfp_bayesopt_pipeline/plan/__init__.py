"""What a study will take: hours, machines and money, before anything is sent."""
