package simulator

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A userView is what a request wants of a list of users: filters, an order, a page.
type userView struct {
	cached  bool // it asks in the way that reads the cached view
	filters []userFilter
	sort    string
	start   int
	limit   int
}

type userFilter struct {
	column    func(*user) string
	condition string
	value     string
}

// userColumns are the columns that filters and orders of cvpysdk name, as far as users have them.
var userColumns = map[string]func(*user) string{
	"users.userentity.username":               func(u *user) string { return u.Login },
	"users.userentity.userid":                 func(u *user) string { return strconv.Itoa(u.ID) },
	"users.userentity.entityinfo.companyname": (*user).companyName,
	"users.fullname":                          func(u *user) string { return u.Display },
	"users.email":                             func(u *user) string { return u.Email },
	"users.upn":                               func(u *user) string { return u.UPN },
	"users.enableuser":                        func(u *user) string { return strconv.FormatBool(!u.Disabled) },
}

// userView reads the query. A filter on a column that is not known is passed over, and so are fl,
// search and hardRefresh: a guess, and the harder case, since a client then gets more people than it
// asked for.
func (x *exchange) userView() userView {
	view := userView{limit: x.settings.UserListLimit}
	query, _ := url.ParseQuery(x.request.URL.RawQuery)
	for name, values := range query {
		switch strings.ToLower(name) {
		case "start":
			view.start, view.cached = number(values[0], 0), true
		case "limit":
			view.limit, view.cached = number(values[0], view.limit), true
		case "sort":
			view.sort, view.cached = strings.ToLower(values[0]), true
		case "fq":
			view.cached = true
			for _, value := range values {
				view.filter(value, strings.EqualFold(x.request.Header.Get("mode"), "EdgeMode"))
			}
		case "fl", "search", "hardrefresh":
			view.cached = true
		}
	}
	return view
}

func number(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil && n >= 0 {
		return n
	}
	return otherwise
}

// filter adds COLUMN:CONDITION:VALUE. The column name alone needs the header mode: EdgeMode, with
// which the Terraform provider sends it.
func (v *userView) filter(text string, edge bool) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		return
	}
	name := strings.ToLower(parts[0])
	if name == "name" && edge {
		name = "users.userentity.username"
	}
	if column := userColumns[name]; column != nil {
		v.filters = append(v.filters, userFilter{column, strings.ToLower(parts[1]), strings.ToLower(parts[2])})
	}
}

// choose returns the users on the page, and how many there are on all pages.
func (v userView) choose(users []*user) (page []*user, total int) {
	found := slices.DeleteFunc(slices.Clone(users), func(u *user) bool {
		return slices.ContainsFunc(v.filters, func(f userFilter) bool { return !f.lets(u) })
	})
	if name, direction, ok := strings.Cut(v.sort, ":"); ok && userColumns[name] != nil {
		column, order := userColumns[name], 1
		if direction == "-1" {
			order = -1
		}
		slices.SortStableFunc(found, func(a, b *user) int {
			return order * strings.Compare(strings.ToLower(column(a)), strings.ToLower(column(b)))
		})
	}
	from := min(v.start, len(found))
	to := len(found)
	if v.limit > 0 {
		to = min(from+v.limit, to)
	}
	return found[from:to], len(found)
}

// lets reports whether the filter lets a user through. Case does not matter: a guess.
func (f userFilter) lets(u *user) bool {
	value := strings.ToLower(f.column(u))
	switch f.condition {
	case "eq":
		return value == f.value
	case "neq":
		return value != f.value
	case "contains":
		return strings.Contains(value, f.value)
	case "notcontain":
		return !strings.Contains(value, f.value)
	default:
		return true
	}
}
