"""Configuration files of the recipes, which hydra finds as pkg://cmss.conf."""
