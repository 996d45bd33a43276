package config

import _ "github.com/prmsync/prmsync/evidence"
