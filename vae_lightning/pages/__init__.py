"""Pages that open from disk: one self-contained HTML file each, in English and Japanese, without network or server."""
