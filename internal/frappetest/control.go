package frappetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// ControlHelp explains the control paths, for the help of commands.
const ControlHelp = `Control paths (never part of a real site):
  POST   /__test/reset     restore the state at start; the JSON body is site configuration to
                           apply: maintenance_mode, allow_reads_during_maintenance, max_file_size,
                           rate_limit {limit, window}, rate_limit_used, lock_row [doctype, name]
  POST   /__test/config    set site configuration without a reset
  POST   /__test/faults    add one fault or a list of faults, e.g.
                           {"path":"/api/resource/Task","times":3,"status":429,"retry_after":"2"}
                           {"path":"/api/resource/*","latency":"200ms","per_row":"1ms"}
                           {"after":10,"times":1,"drop_answer":true}   also: status, exc_type, html,
                           body, content_type, location, huge, deep, bad_utf8, reset, cut, trickle,
                           trickle_pause, method, every
  DELETE /__test/faults    take all faults away
  POST   /__test/do        let something happen, e.g.
                           {"op":"set","doctype":"Task","name":"T1","values":{"status":"Completed"}}
                           ops: insert, set, set_silently, delete, delete_raw, rename (to), revoke_key
                           (user), roles (user, roles), grant and revoke (doctype, role, permlevel,
                           rights), clock_offset (by), time_zone (zone), now (at, RFC 3339)
  GET    /__test/requests  the log of requests; DELETE empties it
  POST   /__test/save      {"dir":"…"} writes the site into a folder
`

// Control serves the paths under /__test/. What reset restores is the state
// at the time of this call.
func (s *Site) Control() http.Handler {
	start := s.Snapshot()
	mux := http.NewServeMux()
	handle := func(pattern string, fn func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 8<<20)
			out, err := fn(r)
			w.Header().Set("Content-Type", "application/json")
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				out = map[string]any{"error": err.Error()}
			} else if out == nil {
				out = map[string]any{"ok": true}
			}
			_ = json.NewEncoder(w).Encode(out)
		})
	}
	handle("POST /__test/reset", func(r *http.Request) (any, error) {
		var config map[string]any
		if err := json.NewDecoder(r.Body).Decode(&config); err != nil {
			return nil, fmt.Errorf("the body must be the configuration as a JSON object: %w", err)
		}
		s.Restore(start)
		s.Heal()
		s.ResetRequests()
		if config != nil {
			s.Configure(config)
		}
		return nil, nil
	})
	handle("POST /__test/config", func(r *http.Request) (any, error) {
		var config map[string]any
		if err := json.NewDecoder(r.Body).Decode(&config); err != nil {
			return nil, err
		}
		s.Configure(config)
		return nil, nil
	})
	handle("POST /__test/faults", func(r *http.Request) (any, error) {
		var raw json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
			return nil, err
		}
		var list []Fault
		if err := json.Unmarshal(raw, &list); err != nil {
			var one Fault
			if err := json.Unmarshal(raw, &one); err != nil {
				return nil, err
			}
			list = []Fault{one}
		}
		for _, f := range list {
			s.Break(f)
		}
		return map[string]any{"added": len(list)}, nil
	})
	handle("DELETE /__test/faults", func(*http.Request) (any, error) { s.Heal(); return nil, nil })
	handle("GET /__test/requests", func(*http.Request) (any, error) { return s.Requests(), nil })
	handle("DELETE /__test/requests", func(*http.Request) (any, error) { s.ResetRequests(); return nil, nil })
	handle("POST /__test/save", func(r *http.Request) (any, error) {
		var in struct{ Dir string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, err
		}
		return nil, s.SaveDir(in.Dir)
	})
	handle("POST /__test/do", func(r *http.Request) (any, error) {
		var in act
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, err
		}
		return in.run(s)
	})
	return mux
}

// act is one order to /__test/do.
type act struct {
	Op, Doctype, Name, To, User, Role, Rights, By, Zone, At string

	Permlevel int
	Roles     []string
	Values    map[string]any
}

func (a act) run(s *Site) (any, error) {
	switch a.Op {
	case "insert":
		name, err := s.Insert(a.Doctype, wholeNumbers(a.Values))
		return map[string]any{"name": name}, err
	case "set":
		return nil, s.Set(a.Doctype, a.Name, wholeNumbers(a.Values))
	case "set_silently":
		return nil, s.SetSilently(a.Doctype, a.Name, wholeNumbers(a.Values))
	case "delete":
		return nil, s.Delete(a.Doctype, a.Name)
	case "delete_raw":
		return nil, s.DeleteRaw(a.Doctype, a.Name)
	case "rename":
		return nil, s.Rename(a.Doctype, a.Name, a.To)
	case "revoke_key":
		s.RevokeKey(a.User)
		return nil, nil
	case "roles":
		s.SetRoles(a.User, a.Roles...)
		return nil, nil
	case "grant":
		return nil, s.Grant(a.Doctype, a.Role, a.Permlevel, a.Rights)
	case "revoke":
		return nil, s.Revoke(a.Doctype, a.Role)
	case "clock_offset":
		d, err := time.ParseDuration(a.By)
		if err != nil {
			return nil, fmt.Errorf("clock_offset: by: %w", err)
		}
		s.OffsetClock(d)
		return nil, nil
	case "time_zone":
		return nil, s.SetTimeZone(a.Zone)
	case "now":
		at, err := time.Parse(time.RFC3339, a.At)
		if err != nil {
			return nil, fmt.Errorf("now: at: %w", err)
		}
		began := time.Now()
		s.SetClock(func() time.Time { return at.Add(time.Since(began)) })
		return nil, nil
	}
	return nil, fmt.Errorf("no op %q", a.Op)
}

// wholeNumbers turns JSON's floats back into the integers they were.
func wholeNumbers(v map[string]any) map[string]any {
	for k, x := range v {
		switch n := x.(type) {
		case float64:
			if n == float64(int64(n)) {
				v[k] = int64(n)
			}
		case map[string]any:
			v[k] = wholeNumbers(n)
		case []any:
			for i, e := range n {
				if m, ok := e.(map[string]any); ok {
					n[i] = wholeNumbers(m)
				}
			}
		}
	}
	return v
}
