"""What fills the ports with a library or a server: decoding, database, storage, queue, translators."""
