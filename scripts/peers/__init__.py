"""Other people's libraries, which some scripts measure beside ours: each installed for the run alone."""
