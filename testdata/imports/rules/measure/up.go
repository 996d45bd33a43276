package measure

import _ "github.com/prmsync/prmsync/rules"
