package schema

import _ "github.com/prmsync/prmsync/store"
