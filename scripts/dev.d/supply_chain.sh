# shellcheck shell=bash
# What the binary is made of. Nothing is downloaded but Debian packages, whose archives apt checks against
# the release's signature. Here the installed files that the build used are checked again: each belongs to
# a listed package and is the one that package brought. docs/ci.md tells how to add a dependency.

# normal_path: the /usr-merge makes /lib/x and /usr/lib/x one file; dpkg knows it by either name.
normal_path='function normal(path) { sub(/^\//, "", path); if (path ~ /^usr\/(lib|lib64|bin|sbin)\//) path = substr(path, 5); return path }'

# owned_files INFO < paths: "path <tab> package <tab> md5 as the package has it"; "-" for what no package owns.
# INFO is dpkg's folder of *.md5sums.
owned_files() {
  local info=$1
  awk "$normal_path"'
    FILENAME == "-" || FILENAME == "/dev/stdin" { used[normal($0)] = $0; next }
    FNR == 1 { package = FILENAME; sub(/^.*\//, "", package); sub(/\.md5sums$/, "", package); sub(/:.*$/, "", package) }
    {
      md5 = $1; path = $0; sub(/^[0-9a-f]+ [ *]/, "", path); path = normal(path)
      if (path in used) { print used[path] "\t" package "\t" md5; delete used[path] }
    }
    END { for (path in used) print used[path] "\t-\t-" }' - "$info"/*.md5sums
}

# Packages that "$@" need, directly or not, by dpkg's own records.
closure_of() {
  dpkg-query -W -f='${db:Status-Status}\t${Package}\t${Pre-Depends}, ${Depends}\n' | awk -F'\t' -v roots="$*" '
    $1 == "installed" { needs[$2] = needs[$2] ", " $3 }
    END {
      n = split(roots, queue, " ")
      for (i = 1; i <= n; ++i) seen[queue[i]] = 1
      for (i = 1; i <= n; ++i) {
        if (!(queue[i] in needs)) continue
        print queue[i]
        m = split(needs[queue[i]], parts, /[,|]/)
        for (k = 1; k <= m; ++k) {
          name = parts[k]; gsub(/^ +| *\(.*$| +$|:any$/, "", name); sub(/:.*$/, "", name)
          if (name != "" && !(name in seen)) { seen[name] = 1; queue[++n] = name }
        }
      }
    }'
}

# Packages that may bring a header or a library that Weir names itself: the listed ones, what they bring
# directly (a -dev package its library), and the compiler.
allowed_packages() {
  {
    listed_packages
    # shellcheck disable=SC2046 # one word a package
    dpkg-query -W -f='${Depends}\n' $(listed_packages) 2>/dev/null | tr ',|' '\n\n' | sed -e 's/(.*//' -e 's/:.*//' -e 's/ //g' -e '/^$/d'
    closure_of build-essential
  } | sort -u
}

# Headers that went into the objects of a preset, and the libraries its `weir` names.
used_headers() {
  (cd "$root/build/$1" && ninja -t deps) | sed -n 's/^    \//\//p' | sort -u | grep -vF "$root/" | xargs -r realpath -m | sort -u
}
linked_libraries() { # BINARY: only those it names itself, not what they need in turn
  local name
  readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while read -r name; do
    ldd "$1" | awk -v name="$name" '$1 == name && $3 ~ /^\// {print $3} $1 ~ /^\// && $1 ~ name"$" {print $1}'
  done | xargs -r realpath | sort -u
}
all_libraries() { ldd "$1" | awk '$3 ~ /^\// {print $3} $1 ~ /^\// {print $1}' | xargs -r realpath | sort -u; }

# offences_unlisted ALLOWED INFO < paths: what comes from a package that is not on the list, or from none.
offences_unlisted() {
  owned_files "$2" | awk -F'\t' '
    NR == FNR { allowed[$1] = 1; next }
    $2 == "-" { print $1 ": belongs to no Debian package"; next }
    !($2 in allowed) && !($2 in told) { told[$2] = 1; print $1 ": comes from " $2 ", which is not in scripts/packages.txt" }
  ' "$1" -
}

# offences_changed INFO < paths: files that are not what their package brought, with both hashes.
offences_changed() {
  owned_files "$1" | awk -F'\t' '$2 != "-"' | while IFS=$'\t' read -r path package md5; do
    printf '%s\t%s\t%s\n' "$path" "$package" "$md5"
  done | {
    declare -A package_of=() md5_of=()
    while IFS=$'\t' read -r path package md5; do
      package_of[$path]=$package
      md5_of[$path]=$md5
    done
    [ ${#md5_of[@]} -gt 0 ] || return 0
    printf '%s\0' "${!md5_of[@]}" | xargs -0 md5sum | while read -r md5 path; do
      [ "$md5" = "${md5_of[$path]}" ] \
        || printf '%s: changed since %s brought it: md5 %s, was %s\n' "$path" "${package_of[$path]}" "$md5" "${md5_of[$path]}"
    done
  }
}

# The two checks over one preset's build; prints offences.
supply_chain_offences() {
  local preset=$1 list="$root/build/$1/used-files.txt" allowed="$root/build/$1/allowed-packages.txt"
  allowed_packages >"$allowed"
  { used_headers "$preset"; linked_libraries "$root/build/$preset/weir"; } >"$list"
  [ -s "$list" ] || { printf 'build/%s: no file is recorded as used; is it built?\n' "$preset" && return; }
  offences_unlisted "$allowed" /var/lib/dpkg/info <"$list"
  { cat "$list"; all_libraries "$root/build/$preset/weir"; } | sort -u | offences_changed /var/lib/dpkg/info
}

offences_supply_chain() { supply_chain_offences release; }

run_supply_chain_stage() {
  local start=$SECONDS before=$checks_passed before_failed=$checks_failed
  case " $broken_presets " in *" release "*) return ;; esac
  headline "supply chain"
  check_one supply_chain "every header and library comes unchanged from a listed Debian package"
  count supply builds $((SECONDS - start)) $((checks_passed - before)) $((checks_failed - before_failed))
}

# sbom: one line per component of build/release/weir; also as CycloneDX 1.4 in build/release/sbom.json.
run_sbom() {
  [ $# -eq 0 ] || fail_usage "sbom takes no arguments"
  install_listed_packages
  build release weir
  write_sbom
}

write_sbom() {
  local binary="$root/build/release/weir" json="$root/build/release/sbom.json" offences
  offences=$(supply_chain_offences release)
  [ -z "$offences" ] || fail "$offences"
  {
    # Shared libraries, as they are loaded; then packages of which only headers went in.
    all_libraries "$binary" | owned_files /var/lib/dpkg/info | sort | while IFS=$'\t' read -r path package _; do
      printf 'library\t%s\t%s\t%s\t%s\n' "$package" "$(dpkg-query -W -f='${Version}\n' "$package" | head -n 1)" \
        "$(sha256sum "$path" | cut -d' ' -f1)" "$path"
    done
    used_headers release | owned_files /var/lib/dpkg/info | cut -f2 | sort -u | while read -r package; do
      printf 'headers\t%s\t%s\t%s\t%s\n' "$package" "$(dpkg-query -W -f='${Version}\n' "$package" | head -n 1)" \
        "$(cat "/var/lib/dpkg/info/$package".md5sums "/var/lib/dpkg/info/$package":*.md5sums 2>/dev/null | sha256sum | cut -d' ' -f1)" \
        "(its list of files)"
    done
  } | sort >"$json.tsv"
  {
    printf '{"bomFormat":"CycloneDX","specVersion":"1.4","version":1,\n'
    printf ' "metadata":{"component":{"type":"application","name":"weir","version":"%s","hashes":[{"alg":"SHA-256","content":"%s"}]}},\n' \
      "$(project_version)" "$(sha256sum "$binary" | cut -d' ' -f1)"
    printf ' "components":[\n'
    awk -F'\t' -v arch="$(dpkg --print-architecture)" '{
      printf "%s  {\"type\":\"library\",\"name\":\"%s\",\"version\":\"%s\",\"purl\":\"pkg:deb/debian/%s@%s?arch=%s\",", (NR > 1 ? ",\n" : ""), $2, $3, $2, $3, arch
      printf "\"hashes\":[{\"alg\":\"SHA-256\",\"content\":\"%s\"}],", $4
      printf "\"properties\":[{\"name\":\"weir:kind\",\"value\":\"%s\"},{\"name\":\"weir:file\",\"value\":\"%s\"}]}", $1, $5
    }' "$json.tsv"
    printf '\n ]}\n'
  } >"$json"
  printf 'kind\tpackage\tversion\tsha256\tfile\n'
  cat "$json.tsv"
  rm -f "$json.tsv"
  say "also as CycloneDX: $json"
}

project_version() { sed -n 's/^project(weir VERSION \([0-9.]*\).*/\1/p' "$root/CMakeLists.txt"; }
