package frappetest

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// readCookies takes the session of a sid cookie; a dead one ends as Guest.
func (q *session) readCookies() {
	c, err := q.req.Cookie("sid")
	if err != nil || c.Value == "" || c.Value == "Guest" {
		return
	}
	if user, ok := q.site.sids[c.Value]; ok {
		q.become(user)
		return
	}
	q.sessionEnd = true
}

// authenticate is validate_auth: token, Basic and Bearer in one header of
// exactly two words.
func (q *session) authenticate() error {
	words := strings.Split(q.req.Header.Get("Authorization"), " ")
	if len(words) != 2 {
		return nil // ignored, the caller stays who it was
	}
	scheme, token := strings.ToLower(words[0]), words[1]
	switch scheme {
	case "basic":
		raw, err := base64.StdEncoding.DecodeString(token)
		if err != nil {
			return q.throw("InvalidAuthorizationToken", "Failed to decode token, please provide a valid base64-encoded token.")
		}
		token = string(raw)
		fallthrough
	case "token":
		if parts := strings.Split(token, ":"); len(parts) == 2 {
			if err := q.keyLogin(parts[0], parts[1]); err != nil {
				return err
			}
		}
	case "bearer":
		if t := q.site.tableMap()["OAuth Bearer Token"]; t != nil {
			if r := t.find(token); r != nil && t.str(r, "status") != "Revoked" {
				exp, ok := parseDatetime(t.str(r, "expiration_time"))
				now, _ := parseDatetime(formatTime(q.site.now().In(q.site.zone)))
				if !ok || exp.After(now) {
					q.become(t.str(r, "user"))
				}
			}
		}
	}
	if q.user == "Guest" && !q.site.version.guestOnBadSecret {
		return raise("AuthenticationError", "")
	}
	return nil
}

func (q *session) keyLogin(key, secret string) error {
	t := q.site.table("User")
	var found *row
	if key != "" {
		for _, r := range t.matching("api_key", key) {
			found = r
		}
	}
	if found == nil || !q.site.version.disabledUserKeys && !isTrue(t.get(found, "enabled")) {
		if q.site.version.guestOnBadSecret {
			return q.throw("AuthenticationError", "Password not found for User None api_secret")
		}
		return raise("AuthenticationError", "")
	}
	if q.site.secrets[found.name] != secret || secret == "" {
		if q.site.version.guestOnBadSecret {
			return nil
		}
		return raise("AuthenticationError", "")
	}
	if q.user == "Guest" {
		q.become(found.name)
	}
	return nil
}

// login is the password login: every failure looks the same.
func (q *session) login() (any, error) {
	user, pwd := cstr(q.params.get("usr")), cstr(q.params.get("pwd"))
	stored, ok := q.site.secrets["password\x00"+user]
	if user == "" || !ok || stored != pwd || !isTrue(q.value("User", user, "enabled")) {
		q.extra.set("message", "Invalid login credentials")
		return nil, raise("AuthenticationError", "")
	}
	sid := hashText(fmt.Sprint("sid", user, q.site.hashes, q.site.now().UnixNano()))
	q.site.hashes++
	q.site.sids[sid] = user
	q.become(user)
	q.extra.set("home_page", "/app")
	q.extra.set("full_name", cstr(q.value("User", user, "full_name")))
	return rpcResult{"Logged In"}, nil
}

// SetPassword gives a user a password for the login page and cmd=login.
func (s *Site) SetPassword(user, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets["password\x00"+user] = password
}
