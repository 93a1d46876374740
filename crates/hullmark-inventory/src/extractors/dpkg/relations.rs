//! Which packages a package needs: `Depends`, `Pre-Depends` and `Provides` (deb-control(5), Debian Policy 7.1).

/// The most relations of one field that are read.
const MAX_RELATIONS: usize = 4096;

/// The names in a field: `a (>= 1) | b, c:any`. Of alternatives all are named, for any that is there is used.
pub(super) fn names(field: &str) -> impl Iterator<Item = &str> {
    let relations = field.split([',', '|']).take(MAX_RELATIONS);
    relations.filter_map(|relation| {
        let name = relation.trim().split([' ', '\t', '(', ':', '[', '<']).next()?;
        (!name.is_empty()).then_some(name)
    })
}
