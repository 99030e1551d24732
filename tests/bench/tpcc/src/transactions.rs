//! The five transactions, clause 2. Each is one block; statements that do not need each other's
//! answers are sent together.

use std::cell::RefCell;
use std::collections::HashMap;

use futures_util::future::try_join_all;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

use crate::Options;
use crate::load::DISTRICTS;
use crate::random::Random;

/// A client and the statements it has prepared.
pub struct Terminal {
    client: Client,
    prepared: RefCell<HashMap<String, Statement>>,
    /// Its own warehouse.
    pub home: i32,
    pub random: RefCell<Random>,
    pub options: Options,
}

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// An order line that is wished for.
struct Line {
    item: i32,
    supplier: i32,
    quantity: i32,
}

impl Terminal {
    pub fn new(client: Client, home: i32, seed: u64, options: &Options) -> Terminal {
        let (random, options) = (RefCell::new(Random::new(seed)), options.clone());
        Terminal { client, prepared: RefCell::default(), home, random, options }
    }

    async fn rows(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Error> {
        let known = self.prepared.borrow().get(sql).cloned();
        let statement = match known {
            Some(statement) => statement,
            None => {
                let statement = self.client.prepare(sql).await?;
                self.prepared.borrow_mut().insert(sql.to_owned(), statement.clone());
                statement
            }
        };
        self.client.query(&statement, parameters).await
    }

    async fn row(&self, sql: &str, parameters: Parameters<'_>) -> Result<Option<Row>, Error> {
        Ok(self.rows(sql, parameters).await?.into_iter().next())
    }

    pub async fn simple(&self, sql: &str) -> Result<(), Error> {
        self.client.batch_execute(sql).await
    }

    fn within(&self, x: i32, y: i32) -> i32 {
        self.random.borrow_mut().within(x, y)
    }

    fn other_warehouse(&self) -> i32 {
        let other = self.within(1, self.options.warehouses - 1);
        if other >= self.home { other + 1 } else { other }
    }

    /// New-Order. Whether it was to be entered; one in a hundred is not.
    pub async fn new_order(&self) -> Result<bool, Error> {
        let (w, d) = (self.home, self.within(1, DISTRICTS));
        let customer = self.random.borrow_mut().customer(self.options.customers);
        let wrong = self.within(1, 100) == 1;
        let mut lines = self.lines(wrong);
        // An order that all transactions keep, so that they do not wait in a circle.
        lines.sort_by_key(|l| (l.supplier, l.item));
        let count = lines.len() as i32;
        let local = i32::from(lines.iter().all(|l| l.supplier == w));
        self.simple("begin").await?;
        let of_customer = "select c_discount::text, c_last, c_credit, w_tax::text \
            from warehouse, customer \
            where w_id = $1 and c_w_id = $1 and c_d_id = $2 and c_id = $3";
        self.row(of_customer, &[&w, &d, &customer]).await?;
        let number = "update district set d_next_o_id = d_next_o_id + 1 \
            where d_w_id = $1 and d_id = $2 returning d_next_o_id - 1, d_tax::text";
        let order: i32 = self.row(number, &[&w, &d]).await?.map_or(0, |row| row.get(0));
        self.rows(
            "insert into orders values ($1, $2, $3, $4, now(), null, $5, $6)",
            &[&w, &d, &order, &customer, &count, &local],
        )
        .await?;
        self.rows("insert into new_order values ($1, $2, $3)", &[&w, &d, &order]).await?;
        let wanted: Vec<i32> = lines.iter().map(|l| l.item).collect();
        let priced = "select i_id, (i_price * 100)::int, i_name, i_data from item \
            where i_id = any($1)";
        let found = self.rows(priced, &[&wanted]).await?;
        let prices: HashMap<i32, i32> = found.iter().map(|r| (r.get(0), r.get(1))).collect();
        if wanted.iter().any(|item| !prices.contains_key(item)) {
            self.simple("rollback").await?;
            return Ok(false);
        }
        let infos = self.take_from_stock(d, &lines).await?;
        self.enter_lines(w, d, order, &lines, &prices, infos).await?;
        self.simple("commit").await?;
        Ok(true)
    }

    fn lines(&self, wrong: bool) -> Vec<Line> {
        let count = self.within(5, 15);
        let line = |n| {
            let unknown = wrong && n == count;
            let item = self.random.borrow_mut().item(self.options.items);
            let remote = self.options.warehouses > 1 && self.within(1, 100) == 1;
            Line {
                item: if unknown { self.options.items + 1 } else { item },
                supplier: if remote { self.other_warehouse() } else { self.home },
                quantity: self.within(1, 10),
            }
        };
        (1..=count).map(line).collect()
    }

    async fn take_from_stock(&self, d: i32, lines: &[Line]) -> Result<Vec<String>, Error> {
        let sql = format!(
            "update stock set s_quantity = case when s_quantity >= $3 + 10 then s_quantity - $3 \
             else s_quantity - $3 + 91 end, s_ytd = s_ytd + $3, s_order_cnt = s_order_cnt + 1, \
             s_remote_cnt = s_remote_cnt + $4 where s_w_id = $1 and s_i_id = $2 \
             returning s_dist_{d:02}, s_quantity, s_data"
        );
        let takes = lines.iter().map(|line| {
            let sql = &sql;
            async move {
                let remote = i32::from(line.supplier != self.home);
                let (w, item, quantity) = (line.supplier, line.item, line.quantity);
                let row = self.row(sql, &[&w, &item, &quantity, &remote]).await?;
                Ok::<_, Error>(row.map(|row| row.get(0)).unwrap_or_default())
            }
        });
        // Prepared by the first one only.
        let mut takes: Vec<_> = takes.collect();
        let first = takes.remove(0).await?;
        let mut infos = vec![first];
        infos.extend(try_join_all(takes).await?);
        Ok(infos)
    }

    async fn enter_lines(
        &self,
        w: i32,
        d: i32,
        order: i32,
        lines: &[Line],
        prices: &HashMap<i32, i32>,
        infos: Vec<String>,
    ) -> Result<(), Error> {
        let amounts: Vec<i32> = lines.iter().map(|l| l.quantity * prices[&l.item]).collect();
        let numbers: Vec<i32> = (1..=lines.len() as i32).collect();
        let mut values = Vec::new();
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&w, &d, &order];
        for (n, line) in lines.iter().enumerate() {
            let at = parameters.len();
            let [a, b, c, e, f, g] = [1, 2, 3, 4, 5, 6].map(|k| at + k);
            values.push(format!(
                "($1, $2, $3, ${a}, ${b}, ${c}, null, ${e}, ${f}::int * 0.01, ${g})"
            ));
            parameters.extend([
                &numbers[n] as &(dyn ToSql + Sync),
                &line.item,
                &line.supplier,
                &line.quantity,
                &amounts[n],
                &infos[n],
            ]);
        }
        let sql = format!("insert into order_line values {}", values.join(", "));
        self.rows(&sql, &parameters).await.map(|_| ())
    }

    /// Payment.
    pub async fn payment(&self) -> Result<(), Error> {
        let (w, d) = (self.home, self.within(1, DISTRICTS));
        let remote = self.options.warehouses > 1 && self.within(1, 100) <= 15;
        let (cw, cd) = match remote {
            true => (self.other_warehouse(), self.within(1, DISTRICTS)),
            false => (w, d),
        };
        let cents = self.within(100, 500_000);
        self.simple("begin").await?;
        let of_warehouse = "update warehouse set w_ytd = w_ytd + $2::int * 0.01 where w_id = $1 \
            returning w_name, w_street_1, w_street_2, w_city, w_state, w_zip";
        let warehouse = self.row(of_warehouse, &[&w, &cents]).await?;
        let of_district = "update district set d_ytd = d_ytd + $3::int * 0.01 \
            where d_w_id = $1 and d_id = $2 \
            returning d_name, d_street_1, d_street_2, d_city, d_state, d_zip";
        let district = self.row(of_district, &[&w, &d, &cents]).await?;
        let Some(c) = self.customer(cw, cd).await? else { return self.simple("rollback").await };
        let of_customer = "update customer set c_balance = c_balance - $4::int * 0.01, \
            c_ytd_payment = c_ytd_payment + $4::int * 0.01, c_payment_cnt = c_payment_cnt + 1, \
            c_data = case when c_credit = 'BC' then left($5 || c_data, 500) else c_data end \
            where c_w_id = $1 and c_d_id = $2 and c_id = $3 \
            returning c_first, c_middle, c_last, c_credit, c_discount::text, c_balance::text";
        let data = format!("{c} {cd} {cw} {d} {w} {cents}|");
        self.row(of_customer, &[&cw, &cd, &c, &cents, &data]).await?;
        let name = |row: &Option<Row>| -> String { row.as_ref().map_or("", |r| r.get(0)).into() };
        let data = format!("{}    {}", name(&warehouse), name(&district));
        self.rows(
            "insert into history values ($1, $2, $3, $4, $5, now(), $6::int * 0.01, $7)",
            &[&c, &cd, &cw, &d, &w, &cents, &data],
        )
        .await?;
        self.simple("commit").await
    }

    /// A customer: six in ten by their last name, of which the middle one by first name is taken.
    async fn customer(&self, w: i32, d: i32) -> Result<Option<i32>, Error> {
        let customers = self.options.customers;
        if self.within(1, 100) > 60 {
            return Ok(Some(self.random.borrow_mut().customer(customers)));
        }
        let name = self.random.borrow_mut().name_to_find(customers);
        let by_name = "select c_id from customer \
            where c_w_id = $1 and c_d_id = $2 and c_last = $3 order by c_first";
        let found = self.rows(by_name, &[&w, &d, &name]).await?;
        Ok(found.get(found.len().saturating_sub(1) / 2).map(|row| row.get(0)))
    }

    /// Order-Status.
    pub async fn order_status(&self) -> Result<(), Error> {
        let (w, d) = (self.home, self.within(1, DISTRICTS));
        self.simple("begin").await?;
        let Some(c) = self.customer(w, d).await? else { return self.simple("rollback").await };
        let of_customer = "select c_balance::text, c_first, c_middle, c_last from customer \
            where c_w_id = $1 and c_d_id = $2 and c_id = $3";
        self.row(of_customer, &[&w, &d, &c]).await?;
        let last = "select o_id, o_entry_d::text, o_carrier_id from orders \
            where o_w_id = $1 and o_d_id = $2 and o_c_id = $3 order by o_id desc limit 1";
        if let Some(row) = self.row(last, &[&w, &d, &c]).await? {
            let order: i32 = row.get(0);
            let lines = "select ol_i_id, ol_supply_w_id, ol_quantity, ol_amount::text, \
                ol_delivery_d::text from order_line \
                where ol_w_id = $1 and ol_d_id = $2 and ol_o_id = $3";
            self.rows(lines, &[&w, &d, &order]).await?;
        }
        self.simple("commit").await
    }

    /// Delivery: of each district the oldest new order.
    pub async fn delivery(&self) -> Result<(), Error> {
        let (w, carrier) = (self.home, self.within(1, 10));
        self.simple("begin").await?;
        for d in 1..=DISTRICTS {
            let oldest = "select no_o_id from new_order where no_w_id = $1 and no_d_id = $2 \
                order by no_o_id limit 1 for update";
            let Some(row) = self.row(oldest, &[&w, &d]).await? else { continue };
            let order: i32 = row.get(0);
            let remove = "delete from new_order \
                where no_w_id = $1 and no_d_id = $2 and no_o_id = $3";
            self.rows(remove, &[&w, &d, &order]).await?;
            let carry = "update orders set o_carrier_id = $4 \
                where o_w_id = $1 and o_d_id = $2 and o_id = $3 returning o_c_id";
            let row = self.row(carry, &[&w, &d, &order, &carrier]).await?;
            let customer: i32 = row.map_or(0, |row| row.get(0));
            let deliver = "update order_line set ol_delivery_d = now() \
                where ol_w_id = $1 and ol_d_id = $2 and ol_o_id = $3 \
                returning (ol_amount * 100)::int";
            let lines = self.rows(deliver, &[&w, &d, &order]).await?;
            let cents: i32 = lines.iter().map(|row| row.get::<_, i32>(0)).sum();
            let owe = "update customer set c_balance = c_balance + $4::int * 0.01, \
                c_delivery_cnt = c_delivery_cnt + 1 \
                where c_w_id = $1 and c_d_id = $2 and c_id = $3";
            self.rows(owe, &[&w, &d, &customer, &cents]).await?;
        }
        self.simple("commit").await
    }

    /// Stock-Level.
    pub async fn stock_level(&self) -> Result<(), Error> {
        let (w, d, low) = (self.home, self.within(1, DISTRICTS), self.within(10, 20));
        self.simple("begin").await?;
        let next = "select d_next_o_id from district where d_w_id = $1 and d_id = $2";
        let next: i32 = self.row(next, &[&w, &d]).await?.map_or(0, |row| row.get(0));
        let few = "select count(distinct s_i_id) from order_line, stock \
            where ol_w_id = $1 and ol_d_id = $2 and ol_o_id < $3 and ol_o_id >= $3 - 20 \
            and s_w_id = $1 and s_i_id = ol_i_id and s_quantity < $4";
        self.rows(few, &[&w, &d, &next, &low]).await?;
        self.simple("commit").await
    }
}

/// Whether a transaction that failed so is to be run again.
pub fn is_retryable(error: &Error) -> bool {
    let again = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|code| again.contains(code))
}
