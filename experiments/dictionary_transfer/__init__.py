"""Dictionaries of one data set, used on another."""
