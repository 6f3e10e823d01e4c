# `cpack --preset deb` or `scripts/dev package` makes the Debian package.
