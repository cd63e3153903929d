"""Networks and bundles: encoders (a table), network (torch), bundle (a folder), export."""
