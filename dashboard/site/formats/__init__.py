"""How languages write dates and numbers: one package per language, as Django's FORMAT_MODULE_PATH expects."""
