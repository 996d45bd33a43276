package ignored

import _ "github.com/prmsync/prmsync/cmd/prmsync"
