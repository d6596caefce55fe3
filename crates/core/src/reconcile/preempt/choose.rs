//! Who has to go: as few as possible, and none that could stay.

use std::cmp::Reverse;

use crate::id::InstanceId;

/// Cpu, memory, disk, network, instances, live memory, live disk, ports.
pub(super) const DIMENSIONS: usize = 8;
/// So much of each is lacking, or given back.
pub(super) type Amounts = [u64; DIMENSIONS];

/// The search for fewer than the obvious ones gives up after so many steps.
const STEPS: u32 = 2_000;

/// One who may have to go.
#[derive(Debug, Clone)]
pub(super) struct Prey {
    pub index: u32,
    pub priority: u8,
    pub id: InstanceId,
    /// What is given back when it has gone.
    pub gives: Amounts,
}

/// Chooses among `prey` those who have to go so that `need` is covered and `enough` holds of them:
/// of the lowest priorities that suffice, the fewest, of these the least important, then the
/// youngest. `None` if all of them together are not enough.
pub(super) fn choose(
    need: &Amounts,
    mut prey: Vec<Prey>,
    enough: &dyn Fn(&[&Prey]) -> bool,
) -> Option<Vec<u32>> {
    prey.sort_by_key(|one| (one.priority, Reverse(one.id)));
    let search = Search { need, prey: &prey[..level(need, &prey, enough)?], enough };
    let mut chosen = search.greedy();
    search.spare(&mut chosen);
    if let Some(fewer) = search.fewer(chosen.len()) {
        chosen = fewer;
    }
    search.cheaper(&mut chosen);
    search.spare(&mut chosen);
    Some(chosen.into_iter().map(|place| search.prey[place].index).collect())
}

/// How many, from the least important, it takes at most: whole priorities.
fn level(need: &Amounts, prey: &[Prey], enough: &dyn Fn(&[&Prey]) -> bool) -> Option<usize> {
    let mut rest = *need;
    let mut end = 0;
    if covered(&rest) && enough(&[]) {
        return Some(0);
    }
    for group in prey.chunk_by(|a, b| a.priority == b.priority) {
        group.iter().for_each(|one| take(&mut rest, &one.gives));
        end += group.len();
        if covered(&rest) && enough(&prey[..end].iter().collect::<Vec<_>>()) {
            return Some(end);
        }
    }
    None
}

fn take(rest: &mut Amounts, gives: &Amounts) {
    for (rest, gives) in rest.iter_mut().zip(gives) {
        *rest = rest.saturating_sub(*gives);
    }
}

fn covered(rest: &Amounts) -> bool {
    rest.iter().all(|rest| *rest == 0)
}

struct Search<'a> {
    need: &'a Amounts,
    prey: &'a [Prey],
    enough: &'a dyn Fn(&[&Prey]) -> bool,
}

impl Search<'_> {
    fn suffices(&self, chosen: &[usize]) -> bool {
        let mut rest = *self.need;
        chosen.iter().for_each(|place| take(&mut rest, &self.prey[*place].gives));
        covered(&rest) && self.enough_of(chosen)
    }

    fn enough_of(&self, chosen: &[usize]) -> bool {
        (self.enough)(&chosen.iter().map(|place| &self.prey[*place]).collect::<Vec<_>>())
    }

    /// How much of what is lacking it gives, all quantities alike.
    fn worth(&self, rest: &Amounts, place: usize) -> u128 {
        let gives = &self.prey[place].gives;
        let part = |dimension: usize| {
            let counts = u128::from(gives[dimension].min(rest[dimension])) << 32;
            counts / u128::from(self.need[dimension].max(1))
        };
        (0..DIMENSIONS).map(part).sum()
    }

    /// Again and again the one that gives most of what is still lacking; of equals the first.
    fn greedy(&self) -> Vec<usize> {
        let mut rest = *self.need;
        let mut chosen = Vec::new();
        let mut others: Vec<usize> = (0..self.prey.len()).collect();
        while !(covered(&rest) && self.enough_of(&chosen)) {
            // Where only ports are lacking, whoever has some.
            let worth = |place: &usize| (self.worth(&rest, *place), self.prey[*place].gives[7]);
            let best = (0..others.len()).max_by_key(|at| (worth(&others[*at]), Reverse(*at)));
            let Some(best) = best else { break };
            let place = others.remove(best);
            take(&mut rest, &self.prey[place].gives);
            chosen.push(place);
        }
        chosen
    }

    /// Takes out whoever is not needed, the most important first.
    fn spare(&self, chosen: &mut Vec<usize>) {
        chosen.sort_unstable_by_key(|place| Reverse(*place));
        let mut at = 0;
        while at < chosen.len() {
            let place = chosen.remove(at);
            if !self.suffices(chosen) {
                chosen.insert(at, place);
                at += 1;
            }
        }
    }

    /// A set of fewer than `than`, if one is found within the steps.
    fn fewer(&self, than: usize) -> Option<Vec<usize>> {
        let least = (0..DIMENSIONS).map(|dimension| self.at_least(dimension)).max().unwrap_or(0);
        let mut order: Vec<usize> = (0..self.prey.len()).collect();
        order.sort_by_key(|place| (Reverse(self.worth(self.need, *place)), *place));
        let mut steps = STEPS;
        for size in least.max(1)..than {
            let mut chosen = Vec::new();
            if self.dig((&order, 0), size, &mut chosen, &mut steps) {
                return Some(chosen);
            }
        }
        None
    }

    /// Nobody can cover what is lacking of this quantity with fewer.
    fn at_least(&self, dimension: usize) -> usize {
        let mut gives: Vec<u64> = self.prey.iter().map(|one| one.gives[dimension]).collect();
        gives.sort_unstable_by_key(|gives| Reverse(*gives));
        let mut rest = self.need[dimension];
        let mut count = 0;
        for one in gives {
            if rest == 0 {
                break;
            }
            rest = rest.saturating_sub(one);
            count += 1;
        }
        count
    }

    fn dig(
        &self,
        (order, from): (&[usize], usize),
        size: usize,
        chosen: &mut Vec<usize>,
        steps: &mut u32,
    ) -> bool {
        if size == 0 {
            return self.suffices(chosen);
        }
        for at in from..order.len().saturating_sub(size - 1) {
            if *steps == 0 {
                return false;
            }
            *steps -= 1;
            chosen.push(order[at]);
            if self.dig((order, at + 1), size - 1, chosen, steps) {
                return true;
            }
            chosen.pop();
        }
        false
    }

    /// Puts less important ones in the place of more important ones, as many as there are.
    fn cheaper(&self, chosen: &mut [usize]) {
        chosen.sort_unstable_by_key(|place| Reverse(*place));
        for at in 0..chosen.len() {
            let place = chosen[at];
            let better =
                (0..place).filter(|other| self.prey[*other].priority < self.prey[place].priority);
            for other in better {
                if chosen.contains(&other) {
                    continue;
                }
                chosen[at] = other;
                if self.suffices(chosen) {
                    break;
                }
                chosen[at] = place;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(priority, cpu)` of each; those who have to go for so much cpu.
    fn chosen(need: u64, prey: &[(u8, u64)]) -> Option<Vec<(u8, u64)>> {
        let mut lacking = [0; DIMENSIONS];
        lacking[0] = need;
        let one = |(index, (priority, cpu)): (usize, &(u8, u64))| {
            let index = u32::try_from(index).expect("few");
            let mut gives = [0; DIMENSIONS];
            gives[0] = *cpu;
            Prey { index, priority: *priority, id: InstanceId::from_bits(index.into()), gives }
        };
        let found = choose(&lacking, prey.iter().enumerate().map(one).collect(), &|_| true)?;
        let mut found: Vec<(u8, u64)> =
            found.iter().map(|index| prey[usize::try_from(*index).expect("fits")]).collect();
        found.sort_unstable();
        Some(found)
    }

    #[test]
    fn the_least_important_that_suffice_go_and_of_them_the_fewest() {
        for (need, prey, want) in [
            (0, &[(1, 9)][..], Some(&[][..])),
            (4, &[(10, 4), (90, 4)], Some(&[(10, 4)])),
            (4, &[(10, 1), (10, 1), (10, 1), (10, 1), (10, 4)], Some(&[(10, 4)])),
            (4, &[(10, 2), (10, 2), (40, 4)], Some(&[(10, 2), (10, 2)])),
            (5, &[(10, 2), (10, 2), (40, 3), (40, 4)], Some(&[(10, 2), (40, 4)])),
            (6, &[(5, 4), (5, 3), (5, 3), (5, 2)], Some(&[(5, 2), (5, 4)])),
            (9, &[(10, 4), (20, 4)], None),
        ] {
            assert_eq!(chosen(need, prey).as_deref(), want, "{need} of {prey:?}");
        }
    }

    #[test]
    fn the_obvious_choice_is_bettered_where_fewer_suffice() {
        // Greedily 6, 4, 4; two suffice.
        let prey = [(1, 6), (1, 5), (1, 5), (1, 4), (1, 4)];
        assert_eq!(chosen(10, &prey).map(|found| found.len()), Some(2));
        let prey = [(1, 7), (1, 6), (1, 6), (1, 5), (1, 5)];
        assert_eq!(chosen(12, &prey).map(|found| found.len()), Some(2));
    }
}
