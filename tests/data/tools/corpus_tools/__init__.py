"""Tool modules of the corpus of agent files: good ones, and one for each way to be none."""
