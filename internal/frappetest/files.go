package frappetest

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"strings"
)

func (q *session) parseMultipart(boundary string) error {
	if boundary == "" {
		return nil
	}
	q.files = map[string]upload{}
	mr := multipart.NewReader(strings.NewReader(q.body), boundary)
	for {
		part, err := mr.NextPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return nil // werkzeug keeps what it could read
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return nil
		}
		if part.FileName() != "" {
			q.files[part.FormName()] = upload{name: part.FileName(), data: data}
			continue
		}
		if !q.params.has(part.FormName()) {
			q.params.set(part.FormName(), string(data))
		}
	}
}

type fileArgs struct {
	name, url, doctype, docname, field, folder string
	data                                       []byte
	private                                    bool
}

// maxFileSize is the limit for one stored file in bytes.
func (q *session) maxFileSize() int64 {
	if v := cint(q.site.config["max_file_size"]); v > 0 {
		return v
	}
	if v := cint(q.value("System Settings", "System Settings", "max_file_size")); v > 0 {
		return v << 20
	}
	return 25 << 20
}

func (q *session) uploadFile(p *object) (any, error) {
	if q.user == "Guest" && !isTrue(q.value("System Settings", "System Settings", "allow_guests_to_upload_files")) {
		return nil, raise("PermissionError", "")
	}
	a := fileArgs{
		doctype: cstr(p.get("doctype")), docname: cstr(p.get("docname")), field: cstr(p.get("fieldname")), folder: cstr(p.get("folder")),
		url: cstr(p.get("file_url")), name: cstr(p.get("file_name")), private: cint(p.get("is_private")) != 0,
	}
	if method := cstr(p.get("method")); method != "" {
		return q.callMethod(method)
	}
	if lib := cstr(p.get("library_file_name")); lib != "" {
		f, err := q.getDoc("File", lib)
		if err != nil {
			return nil, err
		}
		if err := q.checkPermission(f, "read"); err != nil {
			return nil, err
		}
		a.url, a.name, a.private = f.str("file_url"), f.str("file_name"), f.is("is_private")
	}
	if up, ok := q.files["file"]; ok {
		a.name, a.data = up.name, up.data
	}
	if err := q.checkTarget(a.doctype, a.docname); err != nil {
		return nil, err
	}
	if q.value("User", q.user, "user_type") != "System User" && a.data != nil && q.user != "Administrator" {
		switch strings.ToLower(path.Ext(a.name)) {
		case ".jpg", ".jpeg", ".png", ".pdf", ".txt", ".csv", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".odt", ".ods":
		default:
			return nil, q.throw("ValidationError", "You can only upload JPG, PNG, PDF, TXT, CSV or Microsoft documents.")
		}
	}
	f, err := q.saveFile(a)
	if err != nil {
		return nil, err
	}
	return f.asObject(true)
}

// checkTarget asks for write on what a file is to hang on. A document that is
// not there yet counts as a new one.
func (q *session) checkTarget(doctype, name string) error {
	if doctype == "" {
		return nil
	}
	m, err := q.docMeta(doctype)
	if err != nil {
		return err
	}
	if name == "" {
		ok, err := q.canType(doctype, "write", "")
		if err == nil && !ok {
			q.errorMessage = "No permission for " + doctype
			return raise("PermissionError", "")
		}
		return err
	}
	d, err := q.getDoc(doctype, name)
	if err != nil {
		if q.site.version.major == 14 {
			return err
		}
		q.messages = nil
		d = q.blank(m)
		q.applyDefaults(d)
	}
	return q.checkPermission(d, "write")
}

// saveFile makes the File document and keeps the bytes: same hash and privacy
// share a stored file, a taken name gets a suffix of the hash.
func (q *session) saveFile(a fileArgs) (*document, error) {
	if a.folder == "" {
		a.folder = "Home"
	}
	if int64(len(a.data)) > q.maxFileSize() {
		return nil, q.throw("MaxFileSizeReachedError", "File size exceeded the maximum allowed size of %s MB", cstr(roundTo(float64(q.maxFileSize())/1048576, 2)))
	}
	d, err := q.newDocument("File", newObject(
		"file_name", a.name, "is_private", cint(a.private), "attached_to_doctype", nilIfEmpty(a.doctype), "attached_to_name", nilIfEmpty(a.docname),
		"attached_to_field", nilIfEmpty(a.field), "folder", a.folder, "file_url", nilIfEmpty(a.url),
	))
	if err != nil {
		return nil, err
	}
	if a.doctype != "" && a.docname != "" {
		if m := q.site.metaOf(a.doctype); m != nil && m.maxAttachments > 0 {
			_, rows := q.referring("File", "attached_to_doctype", "attached_to_name", a.doctype, a.docname)
			if len(rows) >= m.maxAttachments {
				return nil, q.throw("AttachmentLimitReached", "Maximum Attachment Limit of %s has been reached for %s %s.", bold(cstr(int64(m.maxAttachments))), a.doctype, a.docname)
			}
		}
	}
	if a.data != nil {
		q.keepBytes(d, a)
	}
	if err := d.insert(); err != nil {
		return nil, err
	}
	return d, nil
}

func nilIfEmpty(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (q *session) keepBytes(d *document, a fileArgs) {
	s := q.site
	name := path.Base(strings.ReplaceAll(a.name, "\\", "/"))
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\%?#`, r) {
			return '_'
		}
		return r
	}, name)
	sum := md5.Sum(a.data)
	hash := hex.EncodeToString(sum[:])
	d.vals["file_name"], d.vals["content_hash"], d.vals["file_size"] = name, hash, int64(len(a.data))
	if ext := strings.TrimPrefix(path.Ext(name), "."); ext != "" {
		d.vals["file_type"] = strings.ToUpper(ext)
	}
	prefix := "/files/"
	if a.private {
		prefix = "/private/files/"
	}
	t := s.table("File")
	for _, r := range t.matching("content_hash", hash) {
		if isTrue(t.get(r, "is_private")) == a.private && t.str(r, "file_url") != "" && s.blobs[t.str(r, "file_url")] != nil {
			d.vals["file_url"] = t.str(r, "file_url")
			return
		}
	}
	if _, taken := s.blobs[prefix+name]; taken {
		ext := path.Ext(name)
		name = strings.TrimSuffix(name, ext) + hash[len(hash)-6:] + ext
		d.vals["file_name"] = name
	}
	url := prefix + name
	d.vals["file_url"] = url
	old, had := s.blobs[url]
	s.blobs[url] = a.data
	q.tx.undo = append(q.tx.undo, func() {
		if had {
			s.blobs[url] = old
		} else {
			delete(s.blobs, url)
		}
	})
}

// fileAllowed is has_permission of File: public, owner, reader of the target.
func (q *session) fileAllowed(d *document, right string) bool {
	if right == "create" || d.isNew {
		return q.user != "Guest"
	}
	if right == "read" && !d.is("is_private") && q.site.version.major < 15 {
		return true
	}
	if right == "read" && !d.is("is_private") {
		return true
	}
	if q.user != "Guest" && d.str("owner") == q.user {
		return true
	}
	if dt, dn := d.str("attached_to_doctype"), d.str("attached_to_name"); dt != "" && dn != "" {
		if q.site.metaOf(dt) == nil {
			return false
		}
		before := len(q.messages)
		defer func() { q.messages = q.messages[:before] }()
		target, err := q.getDoc(dt, dn)
		if err != nil {
			return false
		}
		if right == "write" || right == "delete" || right == "share" {
			return q.can(target, "write")
		}
		return q.can(target, "read")
	}
	return false
}

// fileByURL finds the File row that lets the caller read a url; fid picks one.
func (q *session) fileByURL(url, fid string) *document {
	t := q.site.table("File")
	for _, r := range t.matching("file_url", url) {
		if t.str(r, "file_url") != url || fid != "" && r.name != fid {
			continue
		}
		d := q.load(q.site.metaOf("File"), t, r)
		before := len(q.messages)
		ok := q.fileAllowed(d, "read") || q.isAdmin()
		q.messages = q.messages[:before]
		if ok {
			return d
		}
	}
	return nil
}

func (q *session) privateFile(p string) error {
	if q.user == "Guest" {
		return httpError(http.StatusForbidden)
	}
	d := q.fileByURL(p, cstr(q.params.get("fid")))
	if d == nil {
		return httpError(http.StatusForbidden)
	}
	data, ok := q.site.blobs[p]
	if !ok {
		return httpError(http.StatusNotFound)
	}
	q.raw = fileReply(path.Base(p), data)
	return nil
}

func (q *session) publicFile(p string) error {
	data, ok := q.site.blobs[p]
	if !ok {
		return q.page(p)
	}
	q.raw = fileReply(path.Base(p), data)
	return nil
}

func fileReply(name string, data []byte) *rawReply {
	r := &rawReply{status: 200, body: bytes.Clone(data), headers: map[string]string{}}
	ext := strings.ToLower(path.Ext(name))
	switch ext {
	case ".txt":
		r.contentType = "text/plain"
	case ".pdf":
		r.contentType = "application/pdf"
	case ".png":
		r.contentType = "image/png"
	case ".html", ".htm":
		r.contentType = "text/html"
	default:
		r.contentType = mime.TypeByExtension(ext)
	}
	if r.contentType == "" {
		r.contentType = "application/octet-stream"
	}
	if strings.HasPrefix(r.contentType, "text/") && !strings.Contains(r.contentType, "charset") {
		r.contentType += "; charset=utf-8"
	}
	switch ext {
	case ".svg", ".html", ".htm", ".xml":
		r.headers["Content-Disposition"] = mime.FormatMediaType("attachment", map[string]string{"filename": name})
	}
	return r
}

func (q *session) downloadFile(p *object) (any, error) {
	if err := need("download_file", p, "file_url"); err != nil {
		return nil, err
	}
	url := cstr(p.get("file_url"))
	t := q.site.table("File")
	if len(t.matching("file_url", url)) == 0 {
		return nil, q.notFound("File", pyRepr(newObject("file_url", url)))
	}
	d := q.fileByURL(url, "")
	if d == nil {
		return nil, raise("PermissionError", "")
	}
	data, ok := q.site.blobs[url]
	if !ok {
		return nil, q.throw("DoesNotExistError", "File %s does not exist", url)
	}
	r := fileReply(d.str("file_name"), data)
	r.headers["Content-Disposition"] = mime.FormatMediaType("attachment", map[string]string{"filename": d.str("file_name")})
	q.raw = r
	return nil, nil
}

// removeAttachments drops the File rows of a deleted document, and the bytes
// that no other row shows.
func (q *session) removeAttachments(doctype, name string) {
	t, rows := q.referring("File", "attached_to_doctype", "attached_to_name", doctype, name)
	for _, r := range rows {
		q.tx.remove(t, r)
		q.dropBytes(t.str(r, "file_url"))
	}
}

func (q *session) dropBytes(url string) {
	t := q.site.table("File")
	if len(t.matching("file_url", url)) > 0 {
		return
	}
	if data, ok := q.site.blobs[url]; ok {
		delete(q.site.blobs, url)
		q.tx.undo = append(q.tx.undo, func() { q.site.blobs[url] = data })
	}
}
