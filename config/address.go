package config

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// siteAddress reads the address of a Frappe site and returns it in the one form
// that two spellings of it share: scheme and host in lower case, no default
// port, nothing behind the host. A problem never repeats a password or a query.
func siteAddress(text string, private bool) (address, problem, remedy string) {
	const example = "write it as https://erp.example.com"
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" {
		return "", "it is not an address", example
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	switch {
	case u.User != nil:
		return "", "a user name or password stands in the address", "give only scheme and host, and the key in its own setting"
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return "", "it goes on after the host", "give only scheme and host"
	case u.Scheme != "https" && (u.Scheme != "http" || !private):
		remedy = "use https"
		if u.Scheme == "http" {
			remedy += ", or set allow_private_network where the network is your own"
		}
		return "", shown(text) + " is not an https URL", remedy
	case host == "":
		return "", shown(text) + " names no host", example
	case u.Path != "" && u.Path != "/":
		return "", shown(text) + " goes on after the host", "give only scheme and host"
	case !plainHost(host):
		return "", "its host is not a name that DNS or IP can hold", "write an international name in its xn-- form"
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "", shown(text) + " has no usable port", "use 1 to 65535, or none"
		}
	}
	if inside(host) && !private {
		return "", shown(text) + " lies in a private network", "set allow_private_network if that is meant"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	address = u.Scheme + "://" + host
	if port := u.Port(); port != "" && (u.Scheme != "https" || port != "443") && (u.Scheme != "http" || port != "80") {
		address += ":" + port
	}
	return address, "", ""
}

// plainHost reports whether host is an IP address or made of what DNS names are
// made of.
func plainHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// inside reports whether host plainly is this machine or a private network.
// What a name resolves to is known only at the dial, where it is checked again.
func inside(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() ||
		netip.MustParsePrefix("100.64.0.0/10").Contains(ip)
}
