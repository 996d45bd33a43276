package demo

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prmsync/prmsync/config"
)

// mappings are those of the recorded partners that we know, by key.
//
//go:embed mappings
var mappings embed.FS

func folderMapping(dir, key string) (config.Mapping, error) {
	own := filepath.Join(dir, "mapping.yaml")
	if _, err := os.Stat(own); err == nil {
		return config.LoadMapping(own)
	}
	b, err := mappings.ReadFile("mappings/" + key + ".yaml")
	if errors.Is(err, fs.ErrNotExist) {
		return config.Mapping{}, nil
	}
	if err != nil {
		return config.Mapping{}, err
	}
	return config.ParseMapping(key+".yaml", b)
}

// folderReader finds the key whose user reads with the least rights: the one
// with the reading role, else the first that is no System Manager's.
func folderReader(dir fs.FS) (Access, error) {
	b, err := fs.ReadFile(dir, "site.json")
	if err != nil {
		return Access{}, err
	}
	var site struct {
		Users []struct {
			Name  string   `json:"name"`
			Roles []string `json:"roles"`
		} `json:"users"`
		APIKeys map[string]struct {
			User   string `json:"user"`
			Secret string `json:"secret"`
		} `json:"api_keys"`
	}
	if err := json.Unmarshal(b, &site); err != nil {
		return Access{}, fmt.Errorf("site.json: %w", err)
	}
	roles := map[string][]string{}
	for _, u := range site.Users {
		roles[u.Name] = u.Roles
	}
	best, rank := Access{}, 3
	var keys []string
	for k := range site.APIKeys {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		a := site.APIKeys[k]
		r := 2
		switch {
		case slices.Contains(roles[a.User], reader):
			r = 0
		case !slices.Contains(roles[a.User], "System Manager") && !strings.EqualFold(a.User, "Administrator"):
			r = 1
		}
		if r < rank {
			best, rank = Access{Key: k, Secret: a.Secret}, r
		}
	}
	if rank == 3 {
		return Access{}, errors.New("site.json: api_keys names no key to read with")
	}
	return best, nil
}
