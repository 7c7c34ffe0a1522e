"""The native core: channels, tasks and the loop that runs them. Users import `engine` instead."""
