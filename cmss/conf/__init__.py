"""Contains the configuration files of the recipes; hydra finds them as pkg://cmss.conf."""
