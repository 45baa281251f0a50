//! What every plugin does alike: requests, versions, errors.
