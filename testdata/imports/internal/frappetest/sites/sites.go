package sites

import _ "github.com/prmsync/prmsync/evidence"
import _ "github.com/prmsync/prmsync/internal/frappetest"
