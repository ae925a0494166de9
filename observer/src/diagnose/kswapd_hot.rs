use super::{Outcome, Rule, Window};
pub(super) const RULE: Rule = Rule { name: "kswapd_hot", about: "", check };
fn check(_window: &Window<'_>) -> Outcome {
    Outcome::Quiet
}
