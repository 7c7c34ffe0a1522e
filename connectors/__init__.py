"""Sources and sinks, a module each; import the module that you need, as `from connectors.files import csv_files`."""
