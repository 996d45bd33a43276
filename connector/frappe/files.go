package frappe

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // Frappe's content_hash is MD5; it identifies, it does not protect
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/go-resty/resty/v2"
)

// Downloaded says what Download received.
type Downloaded struct {
	Bytes       int64
	ContentType string
}

// Download writes the content of a file of the site to w: fileURL is the
// file_url of a File or an Attach field. Only addresses on the site itself are
// followed. More than Config.MaxFile is an error of category Oversized, and
// then, as after any error, w may hold a part.
func (c *Client) Download(ctx context.Context, fileURL string, w io.Writer) (Downloaded, error) {
	const op = "download file"
	u, err := url.Parse(fileURL)
	if err != nil || u.IsAbs() || u.Host != "" {
		// A file name may hold what a URL may not, such as % or #.
		u = &url.URL{Path: fileURL}
	}
	p := u.Path
	if strings.ContainsAny(fileURL, "%#?") {
		p = fileURL
	}
	if !strings.HasPrefix(p, "/private/files/") && !strings.HasPrefix(p, "/files/") || path.Clean(p) != p {
		return Downloaded{}, c.misuse(op, "the address is not that of a file on the site; it is not followed")
	}
	segments := strings.Split(p, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	var out Downloaded
	page := strings.HasSuffix(strings.ToLower(p), ".html") || strings.HasSuffix(strings.ToLower(p), ".htm")
	r := &request{
		op: op, path: strings.Join(segments, "/"), accept: "*/*", once: true,
		denied: "the file is not there, or the document it belongs to may not be read",
	}
	r.stream = func(resp *http.Response) error {
		out.ContentType = resp.Header.Get("Content-Type")
		if strings.Contains(out.ContentType, "text/html") && !page {
			e := &Error{Category: LoginPage}
			e.Hint = hint(r, e, false)
			return e
		}
		tooBig := &Error{Category: Oversized, Hint: "the file is larger than we accept"}
		if resp.ContentLength > c.cfg.MaxFile {
			return tooBig
		}
		n, err := io.Copy(w, io.LimitReader(resp.Body, c.cfg.MaxFile+1))
		out.Bytes = n
		if err == nil && n > c.cfg.MaxFile {
			return tooBig
		}
		return err
	}
	err = c.do(ctx, r, nil)
	return out, err
}

// Attachment is a file to be stored on the site.
type Attachment struct {
	Name    string // file name
	Content []byte
	Public  bool   // readable by everybody on the internet; private is the default
	Doctype string // document to attach it to
	Docname string
}

// Upload stores a file and returns its File document's name and address. A file
// with the same content that is attached to the same document already
// is returned instead, so uploading twice stores one; a lost answer is settled
// the same way. The site records the attachment and leaves the document itself
// alone.
func (c *Client) Upload(ctx context.Context, a Attachment) (name, fileURL string, err error) {
	const op = "upload file"
	if a.Name == "" || a.Doctype == "" || a.Docname == "" {
		return "", "", c.misuse(op, "a file needs a name and a document to belong to")
	}
	private := "1"
	if a.Public {
		private = "0"
	}
	sum := md5.Sum(a.Content) //nolint:gosec // as above
	hash := hex.EncodeToString(sum[:])
	for try := 0; ; try++ {
		rows, ferr := c.List(ctx, ListQuery{
			Doctype: "File", Fields: []string{"name", "file_name", "file_url"}, OrderBy: "name asc", Limit: All,
			Filters: []Filter{
				Where("content_hash", "=", hash), Where("attached_to_doctype", "=", a.Doctype),
				Where("attached_to_name", "=", a.Docname), Where("is_private", "=", private),
			},
		})
		if ferr != nil {
			if err != nil {
				return "", "", c.uncertain(op, err)
			}
			return "", "", ferr
		}
		if len(rows) > 0 {
			return rows[0].Name(), rows[0].Text("file_url"), nil
		}
		if err != nil {
			if !lost(err) && !busy(err) || try == writeTries {
				return "", "", err
			}
			if err := c.pauseBeforeRepeat(ctx, op, try); err != nil {
				return "", "", err
			}
		}
		var doc Doc
		r := &request{op: op, doctype: a.Doctype, name: a.Docname, right: "write", method: http.MethodPost, path: "/api/method/upload_file"}
		r.form = func(q *resty.Request) {
			q.SetMultipartFormData(map[string]string{"is_private": private, "doctype": a.Doctype, "docname": a.Docname})
			q.SetMultipartField("file", a.Name, "application/octet-stream", bytes.NewReader(a.Content))
		}
		err = c.do(ctx, r, func(body []byte) (err error) {
			doc, err = decodeDoc(body, "message")
			return err
		})
		if err == nil {
			return doc.Name(), doc.Text("file_url"), nil
		}
		if !lost(err) && !busy(err) {
			return "", "", err
		}
	}
}
