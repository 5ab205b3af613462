"""Whose faces a picture shows, and putting another person's there: InsightFace's models, and files like them."""
